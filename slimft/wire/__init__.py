"""The bytes that checkpoints and TFRecords are both made of: protobuf, CRC-32C, files read at any position."""
