"""The demo: the main job on real bare repositories, told step by step."""
