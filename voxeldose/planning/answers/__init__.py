"""What the planning commands answer, as records with the content that ``--json`` prints (``as_dict``)."""
