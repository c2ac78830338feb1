"""The failure clinic: twelve cases, each a story and a capture, and what a conclusion about it lacks."""
