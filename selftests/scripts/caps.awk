# SPDX-License-Identifier: GPL-2.0
#
# Print CAP(name) for each MINIVMM_CAP_ that uapi/linux/minivmm.h defines.
$1 == "#define" && $2 ~ /^MINIVMM_CAP_/ { printf "CAP(%s)\n", $2 }
