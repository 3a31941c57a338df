"""What classes are called, and how they looked when an artifact was written."""
