/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A test program is a list of TEST(name) { ... } bodies; lib/harness.c has
 * main().  Each body runs in a child process of its own, so that a crash, a
 * hang or a leaked file descriptor is that test's alone, and yields one TAP
 * line:
 *
 *	TEST(halts)
 *	{
 *		...
 *		ASSERT_EQ(reason, MINIVMM_EXIT_HLT);
 *	}
 *
 * ASSERT* end the test as failed; EXPECT* fail it but go on.  SKIP("why")
 * ends it as skipped, with the reason in the output.  All may be used from
 * any thread of the test.  A test that takes longer than TEST_TIMEOUT seconds
 * is killed and has failed.
 *
 * Options of every program: --dev PATH (else $MINIVMM_DEV, else /dev/minivmm),
 * --list, and names of tests to run instead of all.
 */
#ifndef SELFTESTS_HARNESS_H
#define SELFTESTS_HARNESS_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <linux/types.h>

#include "kselftest.h"

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s64 s64;

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

#define TEST_TIMEOUT	40

struct test {
	const char *name;
	void (*body)(void);
	struct test *next;
};

/** test_register - add a test at the end of the list (used by TEST) */
void test_register(struct test *test);

#define TEST(test_name)							\
	static void test_body_##test_name(void);				\
	static struct test test_entry_##test_name = {			\
		.name = #test_name, .body = test_body_##test_name,		\
	};								\
	__attribute__((constructor))					\
	static void test_register_##test_name(void)			\
	{								\
		test_register(&test_entry_##test_name);			\
	}								\
	static void test_body_##test_name(void)

/** dev_path - the device under test */
const char *dev_path(void);

/** dev_is_minivmm - false when the tests are held against stock KVM */
bool dev_is_minivmm(void);

/** test_fail - print why and mark the running test as failed */
__attribute__((format(printf, 3, 4)))
void test_fail(const char *file, int line, const char *fmt, ...);

/** test_exit - end the running test now, as failed or as marked so far */
__attribute__((noreturn)) void test_exit(void);

/** test_skip - end the running test as skipped */
__attribute__((noreturn, format(printf, 1, 2)))
void test_skip(const char *fmt, ...);

#define FAIL(fmt, ...)							\
	do {								\
		test_fail(__FILE__, __LINE__, fmt, ##__VA_ARGS__);	\
		test_exit();						\
	} while (0)

#define SKIP(fmt, ...)	test_skip(fmt, ##__VA_ARGS__)

#define CHECK_COND(cond, fatal)						\
	do {								\
		if (!(cond)) {						\
			test_fail(__FILE__, __LINE__, "%s", #cond);	\
			if (fatal)					\
				test_exit();				\
		}							\
	} while (0)

#define CHECK_CMP(a, op, b, fatal)					\
	do {								\
		u64 val_a = (u64)(a), val_b = (u64)(b);			\
									\
		if (!(val_a op val_b)) {				\
			test_fail(__FILE__, __LINE__,			\
				  "%s " #op " %s (0x%llx, 0x%llx)",	\
				  #a, #b, val_a, val_b);		\
			if (fatal)					\
				test_exit();				\
		}							\
	} while (0)

#define ASSERT(cond)	CHECK_COND(cond, true)
#define ASSERT_EQ(a, b)	CHECK_CMP(a, ==, b, true)
#define ASSERT_NE(a, b)	CHECK_CMP(a, !=, b, true)
#define ASSERT_GE(a, b)	CHECK_CMP(a, >=, b, true)
#define EXPECT(cond)	CHECK_COND(cond, false)
#define EXPECT_EQ(a, b)	CHECK_CMP(a, ==, b, false)
#define EXPECT_NE(a, b)	CHECK_CMP(a, !=, b, false)
#define EXPECT_GE(a, b)	CHECK_CMP(a, >=, b, false)

/* A system call that must fail with this errno / that must succeed. */
#define CHECK_ERRNO(call, err, fatal)					\
	do {								\
		long ret_ = (errno = 0, (call));			\
		int errno_ = errno;					\
									\
		if (ret_ != -1 || errno_ != (err)) {			\
			test_fail(__FILE__, __LINE__,			\
				  "%s: returned %ld, errno %d (%s), expected " #err, \
				  #call, ret_, errno_, strerror(errno_)); \
			if (fatal)					\
				test_exit();				\
		}							\
	} while (0)

#define CHECK_OK(call, fatal)						\
	({								\
		long ret_ = (call);					\
									\
		if (ret_ < 0) {						\
			test_fail(__FILE__, __LINE__,			\
				  "%s: %s", #call, strerror(errno));	\
			if (fatal)					\
				test_exit();				\
		}							\
		ret_;							\
	})

#define ASSERT_ERRNO(call, err)	CHECK_ERRNO(call, err, true)
#define EXPECT_ERRNO(call, err)	CHECK_ERRNO(call, err, false)
#define ASSERT_OK(call)		CHECK_OK(call, true)
#define EXPECT_OK(call)		CHECK_OK(call, false)

#endif /* SELFTESTS_HARNESS_H */
