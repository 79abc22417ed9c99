"""How to speak to an OpenStack cloud: sign-in, catalogue, transport, one thin client per service."""
