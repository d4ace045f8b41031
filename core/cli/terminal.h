#pragma once
#include <string>

namespace scorelab::cli {

bool is_terminal(int fd);
/// Whether to colour what goes to this descriptor: a terminal, and no NO_COLOR.
bool colours(int fd);
std::string bold(const std::string& text, int fd);
std::string red(const std::string& text, int fd);
std::string dim(const std::string& text, int fd);
/// The text with control characters, which a terminal would obey, in a form that it shows: \x1b.
/// Line ends and tabs stay.
std::string visible(const std::string& text);
/// From here on std::cout and std::cerr show control characters in that form, but for our own
/// colours: names, labels and messages may come from strangers. A failure to write sets their
/// badbit.
void show_control_characters();
/// The errno of the first write to std::cout that failed; 0: none did.
int stdout_error();
/// Straight to a file descriptor, for what moves the cursor; failures are ignored.
void put(int fd, const std::string& text);

/// 83 as `1:23`, 4000 as `1:06:40`.
std::string duration(double seconds);
/// Four significant digits, without needless zeros.
std::string figure(double value);

}  // namespace scorelab::cli
