"""A digital liver phantom of known truth, written as a DICOM study and assessed. No real patient."""
