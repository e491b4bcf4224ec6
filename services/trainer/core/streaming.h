/* A rule for any series that nobody has looked at: no labels, no training part; it learns from the
 * stream as it goes. Its score is comparable between series. */
#pragma once

extern const char streaming_rule[];
