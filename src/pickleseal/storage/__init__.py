"""Where frames live: thin shells that open, read, write and replace, around the reader and the writer."""
