"""What a host can be: each module declares typed Settings and the resources that they lead to."""
