package com.comsol.model;

import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.util.*;

/** A reader of COMSOL's text meshes: Mesh version 4 and Selection version 0, tetrahedra and selections only. */
class MeshData {
  static class Group {
    String label;
    int dimension;
    int[] entities;
  }

  double[][] vertices;
  int[][] corners = new int[4][0];
  int[] entities = new int[0];
  final List<Group> groups = new ArrayList<Group>();
  private final Iterator<String> tokens;

  private MeshData(Iterator<String> tokens) {
    this.tokens = tokens;
  }

  static MeshData read(String file) {
    List<String> all = new ArrayList<String>();
    try {
      for (String line : Files.readAllLines(Paths.get(file), StandardCharsets.UTF_8)) {
        for (String word : line.replaceFirst("#.*", "").trim().split("\\s+")) {
          if (!word.isEmpty()) {
            all.add(word);
          }
        }
      }
    } catch (java.io.IOException error) {
      throw new java.io.UncheckedIOException(error);
    }
    MeshData data = new MeshData(all.iterator());
    data.parse();
    return data;
  }

  private int next() {
    return Integer.parseInt(tokens.next());
  }

  private String text() {
    int length = next();
    String word = length == 0 ? "" : tokens.next();
    if (word.length() != length) {
      throw new IllegalArgumentException("Text " + word + " is not " + length + " long");
    }
    return word;
  }

  private void parse() {
    expect(next() == 0 && next() == 1, "file version 0 1");
    int objects = next();
    for (int i = 0; i < objects; i++) {
      text();
    }
    int types = next();
    for (int i = 0; i < types; i++) {
      text();
    }
    while (tokens.hasNext()) {
      expect(next() == 0 && next() == 0 && next() == 1, "object header 0 0 1");
      String kind = text();
      if (kind.equals("Mesh")) {
        mesh();
      } else {
        expect(kind.equals("Selection"), "Mesh or Selection");
        selection();
      }
      objects--;
    }
    expect(objects == 0, "as many objects as announced");
  }

  private void mesh() {
    expect(next() == 4, "Mesh version 4");
    int dimension = next();
    int count = next();
    expect(next() == 0, "lowest index 0");
    vertices = new double[dimension][count];
    for (int i = 0; i < count; i++) {
      for (int k = 0; k < dimension; k++) {
        vertices[k][i] = Double.parseDouble(tokens.next());
      }
    }
    int types = next();
    for (int t = 0; t < types; t++) {
      elements(text());
    }
  }

  private void elements(String type) {
    int nodes = next();
    int count = next();
    int[][] found = new int[nodes][count];
    for (int i = 0; i < count; i++) {
      for (int k = 0; k < nodes; k++) {
        found[k][i] = next();
      }
    }
    int[] entity = new int[next()];
    for (int i = 0; i < entity.length; i++) {
      entity[i] = next();
    }
    if (type.equals("tet")) {
      corners = found;
      entities = entity;
    }
  }

  private void selection() {
    expect(next() == 0, "Selection version 0");
    Group group = new Group();
    group.label = text();
    text();
    group.dimension = next();
    group.entities = new int[next()];
    for (int i = 0; i < group.entities.length; i++) {
      group.entities[i] = next();
    }
    groups.add(group);
  }

  private static void expect(boolean good, String what) {
    if (!good) {
      throw new IllegalArgumentException("mphtxt: wanted " + what);
    }
  }
}
