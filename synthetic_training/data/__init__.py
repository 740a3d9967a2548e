"""What a run is trained on."""
