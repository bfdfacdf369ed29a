"""Files: how they are written, whole or not at all, and how named arrays are read without trusting them."""
