#include "spice/server/ticket.h"
#include "base/bytes.h"
#include "base/log.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#define LIFE_NS  (60 * 1000000000ull) /* of a key, from its first use */
#define MAX_USED 512                  /* tickets that it takes */


struct ticket_key {
    EVP_PKEY *pair;
    unsigned refs;
    uint8_t public_key[SPICE_TICKET_PUBKEY_BYTES];
    uint64_t used[MAX_USED]; /* the beginnings of the tickets that were right: they look random */
    unsigned used_count;
};

struct ticket_keys {
    struct loop *loop;
    bool making, dead;
    void (*ready)(void *opaque);
    void *opaque;
    struct ticket_key *current, *next; /* next: nobody has seen it; NULL: not there */
    uint64_t shown;                    /* when the current one was first used; nanoseconds */
    uv_work_t work;
    struct ticket_key *made; /* by the worker */
};

static struct ticket_key *key_create(void)
{
    struct ticket_key *key = calloc(1, sizeof(*key));
    uint8_t *p;

    if (!key)
        return NULL;
    key->refs = 1;
    key->pair = EVP_RSA_gen(SPICE_TICKET_KEY_PAIR_LENGTH);
    p = key->public_key;
    if (!key->pair || i2d_PUBKEY(key->pair, NULL) != SPICE_TICKET_PUBKEY_BYTES ||
        i2d_PUBKEY(key->pair, &p) < 0) {
        ticket_key_put(key);
        return NULL;
    }
    return key;
}

void ticket_key_put(struct ticket_key *key)
{
    if (!key || --key->refs)
        return;
    EVP_PKEY_free(key->pair);
    free(key);
}

const uint8_t *ticket_key_public(const struct ticket_key *key)
{
    return key->public_key;
}

static bool decrypt(EVP_PKEY *pair, const uint8_t *in, size_t in_size, uint8_t *out,
                    size_t *out_size)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pair, NULL);
    bool ok = ctx && EVP_PKEY_decrypt_init(ctx) > 0 &&
              EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) > 0 &&
              EVP_PKEY_decrypt(ctx, out, out_size, in, in_size) > 0;

    EVP_PKEY_CTX_free(ctx);
    return ok;
}

/* Or so many were that nobody can tell. */
static bool was_used(const struct ticket_key *key, const uint8_t *ticket)
{
    uint64_t beginning = load_le64(ticket);

    for (unsigned i = 0; i < key->used_count; i++)
        if (key->used[i] == beginning)
            return true;
    return key->used_count == MAX_USED;
}

void ticket_key_use(struct ticket_key *key, const uint8_t ticket[SPICE_TICKET_KEY_PAIR_LENGTH / 8])
{
    if (key->used_count < MAX_USED)
        key->used[key->used_count++] = load_le64(ticket);
}

bool ticket_key_open(struct ticket_key *key, const uint8_t ticket[SPICE_TICKET_KEY_PAIR_LENGTH / 8],
                     char given[TICKET_PASSWORD_SIZE])
{
    uint8_t plain[SPICE_TICKET_KEY_PAIR_LENGTH / 8] = {0};
    size_t size = sizeof(plain);
    bool ok = decrypt(key->pair, ticket, sizeof(plain), plain, &size) && size <= TICKET_PASSWORD_SIZE;

    memcpy(given, plain, MIN(size, TICKET_PASSWORD_SIZE));
    for (size_t i = 0, seen = 0; i < TICKET_PASSWORD_SIZE; i++) {
        seen |= given[i] == 0;
        given[i] = seen ? 0 : given[i];
    }
    OPENSSL_cleanse(plain, sizeof(plain));
    return ok && !was_used(key, ticket);
}

bool ticket_holds(const char given[TICKET_PASSWORD_SIZE], const char *password)
{
    char wanted[TICKET_PASSWORD_SIZE] = {0};
    bool same;

    memcpy(wanted, password, strnlen(password, SPICE_MAX_PASSWORD_LENGTH));
    same = CRYPTO_memcmp(given, wanted, TICKET_PASSWORD_SIZE) == 0;
    OPENSSL_cleanse(wanted, sizeof(wanted));
    return same;
}

/* --- keys to come --- */

static void make_key(uv_work_t *work)
{
    struct ticket_keys *keys = work->data;

    keys->made = key_create();
}

static void free_keys(struct ticket_keys *keys)
{
    ticket_key_put(keys->current);
    ticket_key_put(keys->next);
    free(keys);
}

static void key_made(uv_work_t *work, int status UNUSED)
{
    struct ticket_keys *keys = work->data;

    keys->making = false;
    keys->next = keys->made;
    keys->made = NULL;
    if (!keys->next)
        log_once(LOG_ERROR, "spice: OpenSSL cannot make a %d-bit RSA key; no client can connect",
                 SPICE_TICKET_KEY_PAIR_LENGTH);
    if (keys->dead)
        free_keys(keys);
    else if (keys->next)
        keys->ready(keys->opaque);
}

static void make_next(struct ticket_keys *keys)
{
    if (keys->making || keys->next)
        return;
    keys->work.data = keys;
    keys->making = uv_queue_work(&keys->loop->uv, &keys->work, make_key, key_made) == 0;
}

struct ticket_keys *ticket_keys_create(struct loop *loop, void (*ready)(void *opaque), void *opaque)
{
    struct ticket_keys *keys = calloc(1, sizeof(*keys));

    if (!keys)
        return NULL;
    keys->loop = loop;
    keys->ready = ready;
    keys->opaque = opaque;
    make_next(keys);
    return keys;
}

void ticket_keys_destroy(struct ticket_keys *keys)
{
    if (!keys)
        return;
    keys->dead = true;
    if (!keys->making)
        free_keys(keys);
}

/* It is shown to somebody for the first time. */
static void change_key(struct ticket_keys *keys)
{
    ticket_key_put(keys->current);
    keys->current = keys->next;
    keys->next = NULL;
    keys->shown = uv_hrtime();
}

static bool is_worn(const struct ticket_keys *keys)
{
    return uv_hrtime() - keys->shown >= LIFE_NS || keys->current->used_count == MAX_USED;
}

struct ticket_key *ticket_keys_take(struct ticket_keys *keys, bool fresh)
{
    if ((!keys->current || (fresh && is_worn(keys))) && keys->next)
        change_key(keys);
    if (!keys->current || fresh)
        make_next(keys);
    if (!keys->current || (fresh && is_worn(keys)))
        return NULL;
    keys->current->refs++;
    return keys->current;
}
