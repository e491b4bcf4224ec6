#include <string.h>

#include <aceso/svg.h>

/* Plain class rules and a media query, no custom properties: small renderers know those. */
static const char STYLE[] =
    "<style>\n"
    "text{font:12px system-ui,'Segoe UI',Roboto,'DejaVu Sans',sans-serif}\n"
    ".h{font-size:15px;font-weight:600}.m{font-size:11px}\n"
    ".bg{fill:#ffffff}.t{fill:#1f2328}.d{fill:#59636e}\n"
    ".g{stroke:#e6e9ed}.a{stroke:#9aa4af}.g,.a{fill:none}\n"
    ".s{fill:none;stroke:#1a5fb4;stroke-width:1.3;stroke-linejoin:round}\n"
    ".x{fill:none;stroke:#2a7d6f;stroke-width:1.2;stroke-dasharray:5 3}\n"
    ".b{fill:#7fc4b5;fill-opacity:.35}\n"
    ".e{fill:#f2b53c;fill-opacity:.38}.r.e{fill-opacity:1}\n"
    ".f0{fill:#c01c28}.f1{fill:#813d9c}\n"
    ".k{fill:#1f2328}.n{fill:#ffffff;font-size:10px;font-weight:600;text-anchor:middle}\n"
    ".box{fill:#f6f8fa;stroke:#8c959f}.own{fill:#dde8f6;stroke:#5a7ba8}\n"
    ".edge{stroke:#2f5d9b}.call{stroke:#8c959f}.bad{stroke:#c01c28}\n"
    ".edge,.call,.bad{fill:none}.tip{fill:#59636e}\n"
    "@media (prefers-color-scheme:dark){\n"
    ".bg{fill:#14171c}.t{fill:#e6edf3}.d{fill:#9aa7b4}\n"
    ".g{stroke:#2a3038}.a{stroke:#59636e}\n"
    ".s{stroke:#78aeed}.x{stroke:#5cc4ae}.b{fill:#3d8f80;fill-opacity:.38}\n"
    ".e{fill:#d8962b;fill-opacity:.34}.r.e{fill-opacity:1}\n"
    ".f0{fill:#ff7b72}.f1{fill:#d2a8ff}\n"
    ".k{fill:#e6edf3}.n{fill:#14171c}\n"
    ".box{fill:#1f252d;stroke:#59636e}.own{fill:#22344d;stroke:#6f94c4}\n"
    ".edge{stroke:#78aeed}.call{stroke:#6b7682}.bad{stroke:#ff7b72}.tip{fill:#9aa7b4}\n"
    "}\n"
    "</style>\n";

bool ac_svg_open(struct ac_buf *b, int width, int height, const char *title)
{
    ac_buf_printf(b,
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
                  "viewBox=\"0 0 %d %d\" role=\"img\">\n<title>",
                  width, height, width, height);
    ac_svg_text(b, title);
    ac_buf_puts(b, "</title>\n");
    ac_buf_puts(b, STYLE);
    return ac_buf_puts(b, "<rect class=\"bg\" width=\"100%\" height=\"100%\"/>\n");
}

bool ac_svg_close(struct ac_buf *b)
{
    return ac_buf_puts(b, "</svg>\n");
}

/* Bytes of the character at s; 0 when they are none that XML can hold. */
static size_t character(const unsigned char *s)
{
    size_t n = *s < 0x80 ? 1 : *s >= 0xf0 ? 4 : *s >= 0xe0 ? 3 : 2;
    char copy[5] = {0};
    for (size_t i = 0; i < n && s[i]; i++)
        copy[i] = (char)s[i];
    if (strlen(copy) != n || !ac_utf8_valid(copy))
        return 0;
    if (n == 1 && (*s < 0x20 || *s == 0x7f) && *s != '\t' && *s != '\n' && *s != '\r')
        return 0;
    if (n == 3 && s[0] == 0xef && s[1] == 0xbf && s[2] >= 0xbe) /* U+FFFE, U+FFFF */
        return 0;
    return n;
}

bool ac_svg_text_cut(struct ac_buf *b, const char *text, size_t max)
{
    const unsigned char *s = (const unsigned char *)text;
    for (size_t left = max; *s; left--) {
        size_t n = character(s);
        if (left <= 1 && s[n ? n : 1]) /* the last place, and more than that one */
            return ac_buf_puts(b, "\xe2\x80\xa6");
        const char *as = *s == '&'   ? "&amp;"
                         : *s == '<' ? "&lt;"
                         : *s == '>' ? "&gt;"
                         : *s == '"' ? "&quot;"
                         : n         ? NULL
                                     : "\xef\xbf\xbd";
        if (as)
            ac_buf_puts(b, as);
        else
            ac_buf_append(b, s, n);
        s += n ? n : 1;
    }
    return !b->failed;
}

bool ac_svg_text(struct ac_buf *b, const char *s)
{
    return ac_svg_text_cut(b, s, SIZE_MAX);
}
