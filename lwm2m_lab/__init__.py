"""A workbench for the LwM2M firmware update."""
