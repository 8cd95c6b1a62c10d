"""Builders and image stores: from a primitive's folder to one image, named by its digest."""
