#include "vmm/uuid.h"

#include "base/error.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char shape[] = "hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh";

static_assert(sizeof(shape) == UUID_TEXT_SIZE, "the text's length");

static bool has_shape(const char *text)
{
    size_t i;

    if (strlen(text) != sizeof(shape) - 1)
        return false;
    for (i = 0; shape[i]; i++)
        if (shape[i] == 'h' ? !isxdigit((unsigned char)text[i]) : text[i] != '-')
            return false;
    return true;
}

int uuid_parse(uint8_t uuid[UUID_SIZE], const char *text)
{
    unsigned i = 0, any = 0;
    char digits[3] = "";

    if (!has_shape(text))
        return fail(-EINVAL, "'%s' is not a UUID, such as 4dea22b3-1d52-d8f3-2516-782e98ab3fa0", text);
    for (; *text; text += *text == '-' ? 1 : 2) {
        if (*text == '-')
            continue;
        memcpy(digits, text, 2);
        uuid[i] = (uint8_t)strtoul(digits, NULL, 16);
        any |= uuid[i++];
    }
    return any ? 0 : fail(-EINVAL, "a UUID of zeros means that there is none");
}

void uuid_format(const uint8_t uuid[UUID_SIZE], char text[UUID_TEXT_SIZE])
{
    char *p = text;
    unsigned i;

    for (i = 0; i < UUID_SIZE; i++)
        p += sprintf(p, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", uuid[i]);
}

int uuid_from_name(uint8_t uuid[UUID_SIZE], const char *name)
{
    /* Drawn once at random: this program's name space. */
    static const uint8_t name_space[UUID_SIZE] = {0x9b, 0x3c, 0x5e, 0x12, 0x7d, 0x04, 0x4f, 0xa1,
                                                  0x8e, 0x66, 0xd0, 0x2b, 0xc9, 0x71, 0x35, 0xea};
    uint8_t digest[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha1(), NULL) && EVP_DigestUpdate(ctx, name_space, UUID_SIZE) &&
              EVP_DigestUpdate(ctx, name, strlen(name)) && EVP_DigestFinal_ex(ctx, digest, NULL);

    EVP_MD_CTX_free(ctx);
    if (!ok)
        return -ENOMEM;
    memcpy(uuid, digest, UUID_SIZE);
    uuid[6] = (uuid[6] & 0x0f) | 0x50;
    uuid[8] = (uuid[8] & 0x3f) | 0x80;
    return 0;
}
