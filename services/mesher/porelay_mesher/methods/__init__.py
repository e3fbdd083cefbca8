"""One file a method: two meshers and eight exporters."""
