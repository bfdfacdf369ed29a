"""What makes XLA compile faster, for this process and for those that tests start."""

import jax

# Most of a test run is compilation: XLA's newer way to emit fused loops takes 40 % longer (scans avoid it too), full
# optimisation 15 to 20 %. Scans run with it, and are compared with what these tests measure (test_scan_cli.py).
FASTER_COMPILATION = "--xla_backend_optimization_level=0"
if jax.__version_info__ < (0, 10):  # later ones refuse to start with an option that they do not know
    FASTER_COMPILATION += " --xla_cpu_use_fusion_emitters=false"
