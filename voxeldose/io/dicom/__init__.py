"""DICOM objects in and out."""
