"""JIT-compiled ray casting: shapes, textures, materials, cameras, LiDAR. One source for CPU and CUDA."""
