#include "spice/sound/lateness.h"

#define SECOND  1000000000ull
#define SOONEST 3 /* seconds, after which there is something to say */

void lateness_reset(struct lateness *l)
{
    *l = (struct lateness){0};
}

static bool is_recent(const struct lateness *l, size_t i, uint64_t second)
{
    return l->kept[i].second && l->kept[i].second + LATENESS_SECONDS > second;
}

int64_t lateness_add(struct lateness *l, uint64_t position, uint64_t now)
{
    uint64_t second = now / SECOND + 1;
    size_t place = second % LATENESS_SECONDS;
    int64_t transit = (int64_t)(now - position), least = transit;

    if (l->kept[place].second != second) {
        l->kept[place].second = second;
        l->kept[place].least = l->kept[place].most = transit;
    }
    l->kept[place].least = MIN(l->kept[place].least, transit);
    l->kept[place].most = MAX(l->kept[place].most, transit);
    if (!l->first)
        l->first = second;
    for (size_t i = 0; i < LATENESS_SECONDS; i++)
        if (is_recent(l, i, second))
            least = MIN(least, l->kept[i].least);
    return transit - least;
}

int64_t lateness_most(const struct lateness *l)
{
    int64_t least = INT64_MAX, most = INT64_MIN, second_most = INT64_MIN;
    uint64_t last = 0;

    for (size_t i = 0; i < LATENESS_SECONDS; i++)
        last = MAX(last, l->kept[i].second);
    if (!last || last < l->first + SOONEST)
        return -1;
    for (size_t i = 0; i < LATENESS_SECONDS; i++) {
        int64_t here = l->kept[i].most;

        if (!is_recent(l, i, last))
            continue;
        least = MIN(least, l->kept[i].least);
        second_most = MAX(second_most, MIN(here, most));
        most = MAX(most, here);
    }
    return second_most - least;
}
