# Writes a C file that adds `source=<sha256>` to the plugin's stamp.
set(all "")
foreach(file ${SOURCES})
  file(SHA256 ${file} one)
  string(APPEND all ${one})
endforeach()
string(SHA256 hash "${all}")
file(WRITE ${OUT} "__attribute__((section(\"scorelab\"), used, retain, aligned(1))) static const char source[] = \"source=${hash}\";\n")
