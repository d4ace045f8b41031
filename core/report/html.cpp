#include "report/html.h"

#include <fmt/format.h>

#include <fstream>

#include <scorelab/version.h>
#include "record/files.h"

namespace scorelab::report {
namespace {

std::string read(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string base64(const std::string& bytes) {
  static const char* table = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t v = 0;
    for (std::size_t k = 0; k < 3; ++k)
      v = v << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0);
    for (std::size_t k = 0; k < 4; ++k)
      out += i + k <= bytes.size() ? table[v >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

}  // namespace

const char* const style = R"(
:root{--ink:#1c2330;--soft:#5b6576;--line:#e3e7ee;--wash:#f6f8fb;--accent:#0a5c9e;--pass:#0b7a4b;--fail:#b3261e;--open:#8a5a00}
*{box-sizing:border-box}
body{margin:0;color:var(--ink);background:#fff;font:15px/1.55 system-ui,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:1080px;margin:0 auto;padding:40px 24px 80px}
header{border-bottom:1px solid var(--line);padding-bottom:20px;margin-bottom:8px}
h1{font-size:30px;line-height:1.2;margin:0 0 6px;letter-spacing:-.01em}
h2{font-size:19px;margin:40px 0 12px}
h3{font-size:15px;margin:24px 0 8px;color:var(--soft);font-weight:600}
.question{font-size:18px;color:var(--soft);margin:0 0 14px;max-width:46em}
.pills{display:flex;flex-wrap:wrap;gap:8px}
.pill{border-radius:999px;padding:3px 12px;font-size:13px;background:var(--wash);border:1px solid var(--line);color:var(--soft)}
.pass,.fail,.undecided{font-weight:600}.pass{color:var(--pass)}.fail{color:var(--fail)}.undecided{color:var(--open)}
.scroll{overflow-x:auto;border:1px solid var(--line);border-radius:8px}
table{border-collapse:collapse;min-width:100%;font-size:14px;font-variant-numeric:tabular-nums}
th,td{padding:7px 12px;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
th{background:var(--wash);font-weight:600;color:var(--soft);font-size:13px}
tr:last-child td{border-bottom:0}
th:first-child,td:first-child,td.text,th.text{text-align:left}
td.text{white-space:normal;min-width:12em}
td.best{font-weight:700}
td small,.side{color:var(--soft);font-size:12px;font-weight:400}
.paper{color:var(--accent)}
.claim{border:1px solid var(--line);border-left:4px solid var(--open);border-radius:8px;padding:12px 16px;margin:0 0 10px}
.claim.is-pass{border-left-color:var(--pass)}.claim.is-fail{border-left-color:var(--fail)}
.claim p{margin:2px 0}.claim code{font-size:13px}
code,pre{font-family:ui-monospace,"SF Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace}
pre{background:var(--wash);border:1px solid var(--line);border-radius:8px;padding:14px;overflow-x:auto;font-size:13px;line-height:1.45}
figure{margin:0 0 28px}figure svg,figure img{width:100%;height:auto;display:block}
figcaption{color:var(--soft);font-size:13px;margin-top:4px}
.tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:14px}
.tiles img{width:100%;image-rendering:pixelated;border-radius:4px}
ul.notes{color:var(--soft);font-size:13px;padding-left:18px;margin:8px 0 0}
details{margin:10px 0}summary{cursor:pointer;color:var(--accent)}
@media(max-width:600px){main{padding:24px 14px 60px}h1{font-size:24px}.question{font-size:16px}th,td{padding:6px 8px}}
@media print{main{max-width:none}details{display:none}}
)";

std::string html(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else
      out += c;
  }
  return out;
}

std::string pill(const std::string& text, const std::string& kind) {
  return fmt::format("<span class=\"pill {}\">{}</span>", kind, html(text));
}

std::string image(const std::filesystem::path& file, const std::string& alt) {
  return fmt::format("<img alt=\"{}\" src=\"data:image/png;base64,{}\">", html(alt),
                     base64(read(file)));
}

std::string svg(const std::filesystem::path& file) {
  const std::string text = read(file);
  const auto begin = text.find("<svg");
  return begin == text.npos ? "" : text.substr(begin);
}

std::string document(const std::string& title, const std::string& body) {
  return fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width, "
      "initial-scale=1\"><title>{}</title><style>{}</style></head><body><main>\n{}\n<p "
      "class=\"side\">scorelab {} &middot; {}</p></main></body></html>\n",
      html(title), style, body, SCORELAB_VERSION, html(record::now()));
}

}  // namespace scorelab::report
