// Named as a dependency by the SDK, and used by nothing in it.
