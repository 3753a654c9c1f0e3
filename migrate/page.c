/* SPDX-License-Identifier: MIT */
/* migrate/page.c - the control page's parts, sealed and checked; see page.h */
#include "migrate/page.h"

#include "migrate/hash.h"

#include <string.h>

/* One magic a part, so that a part read at another's place is none. */
#define MAGIC(part)   (PAGE_MAGIC + (part))
#define CHECKSUM_SEED 0x68616b6d

#define BEHIND_CHECKSUM(part) (offsetof(__typeof__(*(part)), checksum) + sizeof((part)->checksum))
#define CHECKSUM_OF(part)                                                                          \
	hash_bytes((const char *)(part) + BEHIND_CHECKSUM(part),                                   \
		   sizeof(*(part)) - BEHIND_CHECKSUM(part), CHECKSUM_SEED)

static const char cut[] = "it is cut";
static const char no_part[] = "it is no control page";
static const char damaged[] = "it is damaged";

static bool ends(const char *text, size_t room)
{
	return memchr(text, '\0', room) != NULL;
}

/* --- header --------------------------------------------------------------------------------------- */

void page_seal_header(struct page_header *header)
{
	header->magic = MAGIC(0);
	header->checksum = CHECKSUM_OF(header);
}

const char *page_check_header(const struct page_header *header, size_t bytes)
{
	if (bytes < sizeof(*header))
		return cut;
	if (header->magic != MAGIC(0))
		return no_part;
	if (header->checksum != CHECKSUM_OF(header) ||
	    !ends(header->program, sizeof(header->program)) ||
	    !ends(header->library, sizeof(header->library)))
		return damaged;
	if (header->version != PAGE_VERSION || header->bytes != PAGE_BYTES ||
	    header->classes != NEXT_CLASSES || header->class_bytes != sizeof(struct hakmem_class))
		return "it is of another version of the library";
	return NULL;
}

/* --- request -------------------------------------------------------------------------------------- */

static uint32_t request_checksum(const struct page_request *request)
{
	return hash_bytes((const char *)request + BEHIND_CHECKSUM(request),
			  page_request_bytes(request->length) - BEHIND_CHECKSUM(request),
			  CHECKSUM_SEED);
}

void page_seal_request(struct page_request *request)
{
	request->magic = MAGIC(1);
	request->checksum = request_checksum(request);
}

const char *page_check_request(const struct page_request *request, size_t bytes)
{
	if (bytes < page_request_bytes(0))
		return cut;
	if (request->magic != MAGIC(1))
		return "there is no request";
	if (request->length >= sizeof(request->text) ||
	    bytes < page_request_bytes(request->length) ||
	    request->checksum != request_checksum(request) ||
	    request->text[request->length] != '\0')
		return "the request is damaged";
	if (request->operation < PAGE_STATUS || request->operation >= PAGE_OPERATIONS)
		return "no such operation: the command is newer than the library";
	return NULL;
}

/* --- answer --------------------------------------------------------------------------------------- */

void page_seal_answer(struct page_answer *answer)
{
	answer->magic = MAGIC(2);
	answer->checksum = CHECKSUM_OF(answer);
}

const char *page_check_answer(const struct page_answer *answer, size_t bytes)
{
	if (bytes < sizeof(*answer))
		return cut;
	if (answer->magic != MAGIC(2))
		return no_part;
	if (answer->checksum != CHECKSUM_OF(answer) || !ends(answer->text, sizeof(answer->text)) ||
	    (answer->result != PAGE_APPLIED && answer->result != PAGE_REFUSED))
		return damaged;
	return NULL;
}

/* --- status --------------------------------------------------------------------------------------- */

void page_seal_status(struct page_status *status)
{
	status->magic = MAGIC(3);
	status->checksum = CHECKSUM_OF(status);
}

static bool class_holds(const struct hakmem_class *class, unsigned number)
{
	return class->number == number && class->state <= HAKMEM_STATE_NEXT &&
	       class->served_by <= HAKMEM_OWNER_LEGACY && class->old_side <= HAKMEM_OWNER_LEGACY &&
	       class->source <= HAKMEM_SOURCE_LIVE && class->reason <= HAKMEM_REASON_UNAVAILABLE &&
	       class->share_of <= HAKMEM_SHARE_OF_HOSTS && class->share <= SHARE_WHOLE &&
	       class->arm <= ARM_CONTROL && class->latched <= 1 && class->has_control <= 1 &&
	       class->guard_latency <= HAKMEM_GUARD_ROLL_BACK &&
	       class->guard_held <= HAKMEM_GUARD_ROLL_BACK &&
	       class->guard_misuse <= HAKMEM_GUARD_ROLL_BACK &&
	       class->guard_reservation <= HAKMEM_GUARD_ROLL_BACK &&
	       class->guard_rss <= HAKMEM_GUARD_ROLL_BACK &&
	       ends(class->cause, sizeof(class->cause));
}

static bool latency_holds(const struct latency *latency)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
		sum += latency->bucket[i];
	return sum == latency->count;
}

static bool status_holds(const struct page_status *status)
{
	if (status->kill_switch > 1 || !ends(status->salt, sizeof(status->salt)) ||
	    !ends(status->plan_file, sizeof(status->plan_file)) ||
	    !ends(status->guard, sizeof(status->guard)) || !latency_holds(&status->compared.canary) ||
	    !latency_holds(&status->compared.old))
		return false;
	for (unsigned i = 0; i < 4; i++) {
		if (status->source[i].present > 1 ||
		    status->source[i].length >= sizeof(status->source[i].text) ||
		    status->source[i].text[status->source[i].length] != '\0' ||
		    !ends(status->source[i].error, sizeof(status->source[i].error)))
			return false;
	}
	for (unsigned i = 0; i < NEXT_CLASSES; i++) {
		if (!class_holds(&status->class[i], i) ||
		    status->would_be[i].served_by > HAKMEM_OWNER_LEGACY ||
		    status->would_be[i].state > HAKMEM_STATE_NEXT)
			return false;
	}
	return true;
}

const char *page_check_status(const struct page_status *status, size_t bytes)
{
	if (bytes < sizeof(*status))
		return cut;
	if (status->magic != MAGIC(3))
		return no_part;
	if (status->checksum != CHECKSUM_OF(status) || !status_holds(status))
		return damaged;
	return NULL;
}
