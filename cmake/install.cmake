# A relocatable tree: bin, lib, lib/scorelab/plugins, include/scorelab, lib/cmake/scorelab, share/scorelab. LibTorch is not copied: it is
# found where it was at build time, or where SCORELAB_TORCH says.
include(CMakePackageConfigHelpers)
set_target_properties(scorelab_cli scorelab-host PROPERTIES INSTALL_RPATH "$ORIGIN/../lib;${torch_lib}")
set_target_properties(scorelab PROPERTIES INSTALL_RPATH "$ORIGIN;${torch_lib}" EXPORT_NAME sdk)
install(TARGETS scorelab_cli scorelab-host RUNTIME DESTINATION bin)
install(TARGETS scorelab EXPORT scorelab LIBRARY DESTINATION lib INCLUDES DESTINATION include)
if(TARGET scorelab_cuda)
  set_target_properties(scorelab_cuda PROPERTIES INSTALL_RPATH "$ORIGIN;${torch_lib}")
  install(TARGETS scorelab_cuda LIBRARY DESTINATION lib)
endif()
install(DIRECTORY core/include/scorelab DESTINATION include)
install(EXPORT scorelab NAMESPACE scorelab:: DESTINATION lib/cmake/scorelab)
configure_file(cmake/scorelabConfig.cmake.in ${CMAKE_BINARY_DIR}/scorelabConfig.cmake @ONLY)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/scorelabConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/scorelabConfig.cmake ${CMAKE_BINARY_DIR}/scorelabConfigVersion.cmake cmake/ScorelabTorch.cmake cmake/ScorelabPlugin.cmake
              cmake/plugin.map cmake/source_hash.cmake DESTINATION lib/cmake/scorelab)
install(DIRECTORY experiments DESTINATION share/scorelab)
# The digits that scikit-learn ships, found beside the programs in the build tree and in the installed one.
if(SCORELAB_DIGITS)
  configure_file(${SCORELAB_DIGITS} ${CMAKE_BINARY_DIR}/share/scorelab/data/digits/digits.csv.gz COPYONLY)
  install(DIRECTORY ${CMAKE_BINARY_DIR}/share/scorelab/data DESTINATION share/scorelab)
endif()
