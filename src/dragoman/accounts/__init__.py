"""With which credential: accounts, their leases, cooldowns and health."""
