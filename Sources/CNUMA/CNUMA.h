// SPDX-License-Identifier: Apache-2.0
// libnuma, as the distribution ships it (libnuma-dev). See numa(3).
#pragma once
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <numa.h>
#include <numaif.h>
