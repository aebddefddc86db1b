// SPDX-License-Identifier: GPL-2.0
#include "options.h"

int command_info(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return 0;
}
