"""Pieces of networks: layers, encoder and decoder bodies, noise, and losses as pure functions."""

__all__ = []
