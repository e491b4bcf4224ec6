# Compiler, flags and libraries.

ifeq ($(origin CC),default)
CC := gcc
endif
CCACHE := $(shell command -v ccache 2>/dev/null)
export CCACHE_BASEDIR ?= $(CURDIR)
COMPILE = $(CCACHE) $(CC)

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 -Wundef \
        -Wwrite-strings -Wvla -Wpointer-arith -Wcast-qual -Wunused-value -Werror
# protobuf-c's __INIT macros cast const away; clang, unlike gcc, blames that on whoever uses them.
WARN += $(if $(findstring clang,$(CC)),-Wno-cast-qual)
# snprintf cuts texts for people on purpose; where a cut matters its result is checked.
WARN += $(if $(findstring clang,$(CC)),,-Wno-format-truncation)
OPT := $(if $(DEBUG),-O1,-O2) -g
comma := ,
SANFLAGS := $(if $(LIBFUZZER),-fsanitize=fuzzer-no-link) $(if $(SAN),-fsanitize=address$(comma)undefined -fno-sanitize-recover=all)
# Deterministic arithmetic in the pure libraries: no contraction, no reassociation.
PUREFLAGS := -ffp-contract=off -fno-fast-math
CFLAGS_BASE := -std=gnu11 -D_GNU_SOURCE $(OPT) -fvisibility=hidden -fno-omit-frame-pointer \
        -fstack-protector-strong $(if $(SAN),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2) -pthread $(SANFLAGS) -MMD -MP
INCLUDES := -Ishared/include -isystem $(BUILD)/gen
CFLAGS += $(CFLAGS_BASE) $(WARN) $(INCLUDES)
LDFLAGS += -pthread $(SANFLAGS) -rdynamic -Wl,--as-needed

PG_INC := $(shell pkg-config --cflags-only-I libpq 2>/dev/null)
INCLUDES += $(patsubst -I%,-isystem %,$(PG_INC))

LIBS_PURE := -lopenblas -llapacke -lz -lm
LIBS_ALL := -lgrpc -lgpr -lprotobuf-c -lnats -lpq -lcurl -lmicrohttpd -lgnutls -ljansson -lyaml -luv -lsnappy -lcrypto $(LIBS_PURE)
LIBS_TEST := -lcmocka
