"""The scene that these tests set, as fixtures."""

from tests.scenes import now, scene, scene_of, site

__all__ = ["now", "scene", "scene_of", "site"]
