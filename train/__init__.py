"""The curriculum that makes a Kangaroo from parts: its five stages as values."""
