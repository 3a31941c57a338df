"""The command line, `pickleseal COMMAND`: thin over the library. Nothing below imports it."""
