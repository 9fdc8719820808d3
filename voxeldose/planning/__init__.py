"""Activity for a wanted dose: by compartments, by the voxels of a predicted dose map, and back to the vial."""
