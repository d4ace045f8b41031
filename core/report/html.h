#pragma once
#include <filesystem>
#include <string>

/// The parts that every page of a report is made of.
namespace scorelab::report {

extern const char* const style;

/// Text as HTML shows it.
std::string html(const std::string& text);
std::string pill(const std::string& text, const std::string& kind = "");
/// A picture inside the page: PNG as data, SVG as its element.
std::string image(const std::filesystem::path& file, const std::string& alt);
std::string svg(const std::filesystem::path& file);
/// A whole page.
std::string document(const std::string& title, const std::string& body);

}  // namespace scorelab::report
