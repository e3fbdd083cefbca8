"""What surrounds the calls in `BuildElectrode.java`."""

JAVA_FRAME = r"""/*
 * Builds the COMSOL model of a meshed electrode. Written by Porelay; build_electrode.py makes the same calls.
 *
 *   cd to this folder, then
 *   comsol compile BuildElectrode.java
 *   comsol batch -inputfile BuildElectrode.class -outputfile electrode.mph
 *
 * In COMSOL Desktop: open BuildElectrode.class, with FOLDER below set to this folder (absolute) before compiling.
 * COMSOL must be allowed to reach files: Preferences, Security, File system access, All files.
 */

import com.comsol.model.*;
import com.comsol.model.util.*;

public class BuildElectrode {
  /** Where the files of this package lie. */
  static String FOLDER = ".";

  /** false: build the model and do not solve it. */
  static boolean SOLVE = true;

  /** Relative error of a phase's volume at which the import counts as wrong. */
  static double VOLUME_TOLERANCE = 1e-6;

  public static void main(String[] args) throws Exception {
    run();
  }

  public static Model run() throws Exception {
    Model model = ModelUtil.create("Model");
    // PARTS
    return model;
  }

  // METHODS

  static void say(String text) {
    System.out.println("porelay: " + text);
  }

  static String beside(String name) {
    return new java.io.File(FOLDER, name).getAbsolutePath();
  }

  /** Finds the tag of a selection that came with the mesh, by its label. */
  static String imported(Model model, String label) {
    StringBuilder known = new StringBuilder();
    for (String tag : model.component("comp1").selection().tags()) {
      String found = model.component("comp1").selection(tag).label();
      if (found.equals(label)) {
        return tag;
      }
      known.append(" '").append(found).append("'");
    }
    throw new IllegalStateException("porelay: the import of electrode.mphtxt has made no selection '" + label
        + "'. There are:" + known + ". Look at the Import node: 'Import selections' must be on.");
  }

  /** Recomputes tetrahedra and volume of a domain selection and compares them with what was meshed. */
  static void checkMesh(Model model, String label, long tetrahedra, double volume) {
    java.util.HashSet<Integer> wanted = new java.util.HashSet<Integer>();
    for (int domain : model.component("comp1").selection(imported(model, label)).entities(3)) {
      wanted.add(domain);
    }
    int[] domains = model.component("comp1").mesh("mesh1").getElemEntity("tet");
    int[][] corners = model.component("comp1").mesh("mesh1").getElem("tet");
    double[][] nodes = model.component("comp1").mesh("mesh1").getVertex();
    long count = 0;
    double sum = 0;
    for (int i = 0; i < domains.length; i++) {
      if (wanted.contains(domains[i])) {
        count++;
        sum += volumeOf(nodes, corners[0][i], corners[1][i], corners[2][i], corners[3][i]);
      }
    }
    say(label + ": " + count + " tetrahedra, " + sum + " um^3");
    if (count != tetrahedra || Math.abs(sum - volume) > VOLUME_TOLERANCE * volume) {
      throw new IllegalStateException("porelay: the mesh was not imported as it was written: selection '" + label
          + "' has " + count + " tetrahedra and " + sum + " um^3, wanted " + tetrahedra + " and " + volume
          + ". Do not trust this model.");
    }
  }

  static double volumeOf(double[][] nodes, int a, int b, int c, int d) {
    double[] u = new double[3];
    double[] v = new double[3];
    double[] w = new double[3];
    for (int k = 0; k < 3; k++) {
      u[k] = nodes[k][b] - nodes[k][a];
      v[k] = nodes[k][c] - nodes[k][a];
      w[k] = nodes[k][d] - nodes[k][a];
    }
    double crossed = u[0] * (v[1] * w[2] - v[2] * w[1]) - u[1] * (v[0] * w[2] - v[2] * w[0])
        + u[2] * (v[0] * w[1] - v[1] * w[0]);
    return Math.abs(crossed) / 6;
  }
}
"""
