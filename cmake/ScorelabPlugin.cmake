# scorelab_add_plugin(name file.cpp ..): one plugin, one shared library. It exports one symbol; its sources' hash goes into the stamp.
set(SCORELAB_CMAKE_DIR ${CMAKE_CURRENT_LIST_DIR})
function(scorelab_add_plugin name)
  set(target plugin-${name})
  set(hash ${CMAKE_CURRENT_BINARY_DIR}/${name}-source.c)
  list(TRANSFORM ARGN PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/ OUTPUT_VARIABLE sources)
  foreach(source ${sources})  # and every header beside them, which they may include
    get_filename_component(folder ${source} DIRECTORY)
    file(GLOB headers CONFIGURE_DEPENDS ${folder}/*.h ${folder}/*.hpp ${folder}/*.cuh)
    list(APPEND sources ${headers})
  endforeach()
  list(REMOVE_DUPLICATES sources)
  add_custom_command(OUTPUT ${hash} COMMAND ${CMAKE_COMMAND} -DOUT=${hash} "-DSOURCES=${sources}" -P ${SCORELAB_CMAKE_DIR}/source_hash.cmake
                     DEPENDS ${sources} ${SCORELAB_CMAKE_DIR}/source_hash.cmake VERBATIM)
  add_library(${target} MODULE ${ARGN} ${hash})
  target_link_libraries(${target} PRIVATE scorelab::sdk)
  target_link_options(${target} PRIVATE -Wl,--no-undefined -Wl,--version-script=${SCORELAB_CMAKE_DIR}/plugin.map)
  set_target_properties(${target} PROPERTIES PREFIX "" OUTPUT_NAME ${name} LINK_DEPENDS ${SCORELAB_CMAKE_DIR}/plugin.map)
  if(TARGET scorelab_pch)
    target_precompile_headers(${target} REUSE_FROM scorelab_pch)
    target_compile_definitions(${target} PRIVATE FMT_HEADER_ONLY)  # as the precompiled header has it
    set_source_files_properties(${hash} PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
  endif()
endfunction()
