"""The embedded world: small simulated towns that come with the package, and the tools that build more of them."""
