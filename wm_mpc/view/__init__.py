"""What the viewer shows, worked out without ROS and without a browser."""
