"""Files in and out; each format in its own room. Only the model is known here."""
