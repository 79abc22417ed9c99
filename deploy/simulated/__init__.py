"""The simulated cloud: enough of Keystone, Nova, Glance, Neutron and Cinder over HTTP to be loaded and to misbehave.

Rules of this package: everything but `server.py`, `__main__.py` and `engine.py` is pure (told the time, handed its
randomness), so that a whole cloud can be driven in a unit test; each service is a room of its own with `store.py`
(state), `views.py` (bodies as the real service writes them) and route modules.
"""
