"""The generator and the discriminator, and the blocks that they are made of."""
