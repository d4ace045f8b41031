# The digits that scikit-learn ships, found beside the programs in the build tree and in the installed one.
if(SCORELAB_DIGITS)
  configure_file(${SCORELAB_DIGITS} ${CMAKE_BINARY_DIR}/share/scorelab/data/digits/digits.csv.gz COPYONLY)
  install(DIRECTORY ${CMAKE_BINARY_DIR}/share/scorelab/data DESTINATION share/scorelab)
endif()
