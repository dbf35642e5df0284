"""What benchmarks load a mesh with: generated meshes, and the templates of Istio's own benchmark."""
