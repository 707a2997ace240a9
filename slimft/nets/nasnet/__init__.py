"""NASNet and PNASNet (research/slim's ``nets.nasnet``): importing this package imports no TensorFlow."""
