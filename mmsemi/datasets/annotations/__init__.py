"""Readers of what people have drawn or said of images: masks, boxes, tags."""
