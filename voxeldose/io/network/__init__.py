"""To and from image archives over the network: DICOMweb and DICOM's own messages; alone knows their libraries."""
