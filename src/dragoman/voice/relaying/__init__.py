"""Sessions at a provider: relayed event for event, or bridged to another dialect; gone on with elsewhere when lost."""
